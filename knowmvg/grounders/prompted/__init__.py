"""KnowMVG and its family: a language model's ``<BOX>`` token, prompted with knowledge and place, decoded to boxes."""
