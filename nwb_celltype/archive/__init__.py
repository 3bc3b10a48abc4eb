"""Where recordings and labels are kept: DANDI and plain web addresses, read and fetched without a detour."""
