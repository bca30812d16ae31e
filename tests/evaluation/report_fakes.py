"""An evaluation whose names are hostile, and a reader of the HTML page that complains of what a page must not have."""

from dataclasses import replace
from html.parser import HTMLParser

from evaluation_fakes import Deaf, random_studies

from knowmvg.core.records import LabelledPhrase, Study
from knowmvg.evaluation.evaluate import evaluate

HOSTILE = "<script>alert('x')</script> & \"q\" $x_1$ {b} | [c] \\ # % ~ ^"
VOID = {"meta", "link", "br", "img", "hr", "input"}


def hostile_studies(n=12):
    """Studies whose finding, phrase text and report are markup."""
    found = []
    for study in random_studies(n):
        labels = tuple(
            LabelledPhrase(
                item.phrase.model_copy(
                    update={"finding": HOSTILE if item.phrase.finding == "f1" else item.phrase.finding}
                ),
                item.boxes,
            )
            for item in study.labels
        )
        found.append(Study(study.image, f"REPORT {HOSTILE}", study.id, study.patient, labels))
    return found


def hostile_evaluation(studies, **settings):
    near = [replace(s, labels=tuple(LabelledPhrase(i.phrase, i.boxes * 0.9 + 1) for i in s.labels)) for s in studies]
    model = Deaf(near)
    return evaluate(model, studies, training_studies=studies, resamples=60, name=f"model {HOSTILE}", **settings)


class Reader(HTMLParser):
    """Elements, texts and identifiers of a page; an element that is not closed as it was opened is an error."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((data, tuple(self.open)))

    def all(self, tag):
        return [attrs for name, attrs, _ in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(text for text, inside in self.texts if "style" not in inside).split())
