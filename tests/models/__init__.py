"""Tests of labels, model folders, networks, calibration, training and evaluation."""
