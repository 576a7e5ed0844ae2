"""Tables in memory: names of columns, and arrays, tensors, data frames and Arrow tables as numbers."""

from .convert import TableLike, as_table, column_values, filled, latents_of
from .frames import names_of
from .names import LATENTS, UNNAMED, check_names, latent_names, match_columns, order_for
