"""Every word that two files share, once."""

FORMAT_NUMBER = 1
"""Version of the store layout; raised with every change, old numbers stay readable."""

TIME, CHANNEL, UNIT, FEATURE = "time", "channel", "unit", "feature"
EVENT, INTERVAL, RECORDING, WINDOW, BATCH = "event", "interval", "recording", "window", "batch"

SIGNALS, EVENTS, INTERVALS, UNITS = "signals", "events", "intervals", "units"
GROUPS = (SIGNALS, EVENTS, INTERVALS)
"""Groups that hold named members; ``units`` is one table of its own."""

ROLES = ("neural", "behavior", "stimulus")
"""What a signal is: recorded from the nervous system, done by the animal, or done to it."""

GRAPHS, NODE, EDGE = "graphs", "node", "edge"
PRE, POST, KIND, WEIGHT, SOURCE = "pre", "post", "kind", "weight", "source"
"""Columns of a graph's edges: presynaptic and postsynaptic node, kind of connection, strength, and where it is from."""

START, STOP, LABEL, CODE = "start", "stop", "label", "code"
CHANNEL_ID, LABEL_RAW = "channel_id", "label_raw"
LABEL_CONFIDENCE, LABEL_SOURCE = "label_confidence", "label_source"

SAMPLING_RATE, START_SECONDS, TIME_UNIT = "sampling_rate_hz", "start_seconds", "time_unit"
SECONDS, FRAMES = "seconds", "frame"
UNITS_ATTRIBUTE, ROLE = "units", "role"
SCALE_FACTOR, ADD_OFFSET = "scale_factor", "add_offset"

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)
