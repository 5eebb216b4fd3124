"""Every word that two files share, once."""

FIRST_FORMAT, FORMAT_NUMBER = 1, 2
"""Oldest and newest version of the store layout that is read. A recording is written in the lowest that describes it
(2 where it has graphs), so that programs which know no more than that go on reading it."""

TIME, CHANNEL, UNIT, FEATURE = "time", "channel", "unit", "feature"
EVENT, INTERVAL, RECORDING, WINDOW, BATCH = "event", "interval", "recording", "window", "batch"

SIGNALS, EVENTS, INTERVALS, UNITS = "signals", "events", "intervals", "units"
GRAPHS, NODE, EDGE = "graphs", "node", "edge"
TIMED_GROUPS = (SIGNALS, EVENTS, INTERVALS)
"""Groups whose members are on the recording's clock."""

GROUPS = (*TIMED_GROUPS, GRAPHS)
"""Groups that hold named members; ``units`` is one table of its own."""

ROLES = ("neural", "behavior", "stimulus")
"""What a signal is: recorded from the nervous system, done by the animal, or done to it."""

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
