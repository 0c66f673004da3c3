"""A fake SQL Server that the real client drivers connect to: `server` from the outside, `session` and `tds` inside."""
