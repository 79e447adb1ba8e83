"""Messages of a broker become rows: formats, paths, and the columns that are learnt from them. Pure."""
