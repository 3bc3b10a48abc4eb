"""What a release is checked with: ``python -m release.lock``, ``.licences``, ``.sbom``, ``.audit``."""
