"""What an encoder refuses: one class and one code each, and the way out in the message."""

from __future__ import annotations


class EncoderError(ValueError):
    """An encoder that cannot be made, or cannot be used as asked."""

    code = "encoder_error"


class ModelNotFound(EncoderError):
    """Neither a folder nor a model that the hub gives out."""

    code = "model_not_found"


class UnknownArchitecture(EncoderError):
    """A model type without an entry in the table of families."""

    code = "unknown_architecture"


class WrongFamily(EncoderError):
    """A checkpoint of one family where the other was asked for."""

    code = "wrong_family"


class FullFineTuningRefused(EncoderError):
    """All weights of a decoder, or quantised weights, were to be trained."""

    code = "full_fine_tuning_refused"


class QuantisationUnavailable(EncoderError):
    """4 or 8 bits were asked for where they cannot be had."""

    code = "quantisation_unavailable"
