"""Medical visual grounding: a chest radiograph and its report in; diagnostic phrases with boxes and evidence out.

Research software, not a medical device.
"""

__version__ = "0.1.0"
