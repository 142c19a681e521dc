"""What mining and sampling cost beside other libraries: `python -m mining` in benches/."""
