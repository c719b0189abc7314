"""What KBLaM++ refuses: one class and one code each; the message says what to do next."""

from __future__ import annotations


class KblamppError(ValueError):
    """Something that the user can mend."""

    code = "kblampp_error"


class ConfigError(KblamppError):
    """A config that is malformed, has an unknown key, or contradicts itself."""

    code = "config_error"


class DataError(KblamppError):
    """A file of facts or questions that cannot be used; the message names the file and the line."""

    code = "data_error"


class ArtefactMissing(KblamppError):
    """A file that an earlier step makes is not there."""

    code = "artefact_missing"


class ArtefactStale(KblamppError):
    """A file that an earlier step made, from other inputs than today's."""

    code = "artefact_stale"


class UnsupportedBackbone(KblamppError):
    """A decoder without an entry in the table of families."""

    code = "unsupported_backbone"


class CheckpointError(KblamppError):
    """Trained weights that do not fit the config or the backbone."""

    code = "checkpoint_error"


class EndpointError(KblamppError):
    """An endpoint for text that does not answer, or refuses."""

    code = "endpoint_error"
