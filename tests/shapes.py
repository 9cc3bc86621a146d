"""How tests hold annotations against real values: shapes by jaxtyping, an int is a float too."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
