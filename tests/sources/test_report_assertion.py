"""What sentences say of findings. All sentences are our own."""

from __future__ import annotations

import pytest

from knowmvg.sources.report import read_report

# sentence -> "finding assertion" in the order of the text
SENTENCES = {
    # plain
    "Small left pleural effusion.": ["pleural effusion present"],
    "The cardiac silhouette is enlarged.": ["cardiomegaly present"],
    "There is patchy opacity in the right lower lobe.": ["lung opacity present"],
    # negation and lists
    "No pneumothorax, effusion or consolidation.": [
        "pneumothorax absent",
        "pleural effusion absent",
        "consolidation absent",
    ],
    "No pneumothorax, small nodule, or mass.": ["pneumothorax absent", "nodule absent", "mass absent"],
    "Neither edema nor pneumonia.": ["edema absent", "pneumonia absent"],
    "Negative for pneumothorax.": ["pneumothorax absent"],
    "The study is negative for consolidation or effusion.": ["consolidation absent", "pleural effusion absent"],
    "Lungs are free of infiltrate.": ["infiltrate absent"],
    "Effusion without pneumothorax.": ["pleural effusion present", "pneumothorax absent"],
    "No evidence of pneumonia.": ["pneumonia absent"],
    "There is nothing here; no findings to suggest edema.": ["edema absent"],
    "Absence of effusion.": ["pleural effusion absent"],
    "Pneumothorax is not seen.": ["pneumothorax absent"],
    "Pneumothorax and effusion are not seen.": ["pneumothorax absent", "pleural effusion absent"],
    "Effusion absent.": ["pleural effusion absent"],
    "Pneumonia is unlikely.": ["pneumonia absent"],
    "No new consolidation.": ["consolidation absent"],
    "No further nodule.": ["nodule absent"],
    "No large effusion.": ["pleural effusion absent"],
    "Emphysema is not definitely seen.": ["emphysema absent"],
    "No PTX.": ["pneumothorax absent"],
    "w/o consolidation": ["consolidation absent"],
    "There isn't any effusion.": ["pleural effusion absent"],
    "Doubt pneumonia.": ["pneumonia absent"],
    # label and answer
    "Pneumothorax: none": ["pneumothorax absent"],
    "Pleural effusion: No.": ["pleural effusion absent"],
    "Pneumothorax - none.": ["pneumothorax absent"],
    "Pneumothorax? None.": ["pneumothorax absent"],
    "Pleura: No effusion.": ["pleural effusion absent"],
    "Effusions: small on the left.": ["pleural effusion present"],
    # the reach of a negation ends
    "No pneumothorax, but there is a small effusion.": ["pneumothorax absent", "pleural effusion present"],
    "No consolidation; small effusion.": ["consolidation absent", "pleural effusion present"],
    "No consolidation however atelectasis at the left base.": ["consolidation absent", "atelectasis present"],
    "No pneumothorax, small right pleural effusion.": ["pneumothorax absent", "pleural effusion present"],
    "No consolidation, findings compatible with emphysema.": ["consolidation absent", "emphysema present"],
    "No pneumothorax is seen and there is mild cardiomegaly.": ["pneumothorax absent", "cardiomegaly present"],
    "No consolidation, and a small effusion is present.": ["consolidation absent", "pleural effusion present"],
    "No infiltrate or edema seen with stable cardiomegaly.": [
        "infiltrate absent",
        "edema absent",
        "cardiomegaly present",
    ],
    "No acute disease other than a small effusion.": ["pleural effusion present"],
    "There is a small effusion and pneumothorax is not seen.": ["pleural effusion present", "pneumothorax absent"],
    "No effusion, possible nodule.": ["pleural effusion absent", "nodule possible"],
    # change over time is presence
    "The opacity is unchanged from prior.": ["lung opacity present"],
    "No change in the opacity.": ["lung opacity present"],
    "No significant interval change in bilateral effusions.": ["pleural effusion present"],
    "The effusion has not changed.": ["pleural effusion present"],
    "Compared to the prior study, the effusion has increased.": ["pleural effusion present"],
    "The effusion has not resolved.": ["pleural effusion present"],
    "The pneumothorax has nearly resolved.": ["pneumothorax present"],
    "The previously seen effusion is not significantly changed.": ["pleural effusion present"],
    "Previously seen nodule is unchanged.": ["nodule present"],
    "The effusion seen on the prior exam is smaller.": ["pleural effusion present"],
    "Resolving pneumonia.": ["pneumonia present"],
    "A nodule, not seen previously.": ["nodule present"],
    # resolved
    "Pneumonia, which has cleared.": ["pneumonia resolved"],
    "The effusion is gone.": ["pleural effusion resolved"],
    "The effusion has resolved.": ["pleural effusion resolved"],
    "Effusion, resolved.": ["pleural effusion resolved"],
    "Interval resolution of pneumonia with residual atelectasis.": ["pneumonia resolved", "atelectasis present"],
    "Right effusion is no longer seen.": ["pleural effusion resolved"],
    "Previously seen nodule is not visualized.": ["nodule resolved"],
    "The chest tube has been removed.": ["chest tube resolved"],
    # prior
    "History of pneumonia.": ["pneumonia prior"],
    "Previously described nodule.": ["nodule prior"],
    "No prior pneumonia.": ["pneumonia absent"],
    # possible
    "Opacity may represent atelectasis or pneumonia.": [
        "lung opacity present",
        "atelectasis possible",
        "pneumonia possible",
    ],
    "Cannot exclude pneumonia.": ["pneumonia possible"],
    "Pneumonia cannot be excluded.": ["pneumonia possible"],
    "Pneumonia can't be excluded.": ["pneumonia possible"],
    "Pneumonia has not been excluded.": ["pneumonia possible"],
    "Pneumonia is not excluded.": ["pneumonia possible"],
    "Rule out pneumonia.": ["pneumonia possible"],
    "Atelectasis versus pneumonia.": ["atelectasis possible", "pneumonia possible"],
    "Questionable nodule in the left apex.": ["nodule possible"],
    "Possible small effusion, no pneumothorax.": ["pleural effusion possible", "pneumothorax absent"],
    "Consider pneumonia.": ["pneumonia possible"],
    "Early pneumonia could be present.": ["pneumonia possible"],
    "The findings raise the possibility of pneumonia.": ["pneumonia possible"],
    # double negation
    "There is no doubt a pneumothorax.": ["pneumothorax present"],
    "The lungs are not without opacity.": ["lung opacity present"],
    "Not free of consolidation.": ["consolidation present"],
    # normality
    "Heart size is normal.": ["cardiomegaly absent"],
    "Heart size is at the upper limits of normal.": ["cardiomegaly absent"],
    "The heart is not enlarged.": ["cardiomegaly absent"],
    "Heart: Normal. Lungs: Clear.": ["cardiomegaly absent", "lung opacity absent"],
    "The heart is enlarged but the lungs are clear.": ["cardiomegaly present", "lung opacity absent"],
    "Clear lungs.": ["lung opacity absent"],
    "The heart size is not normal.": [],
    # statements about no image
    "Evaluate for pneumothorax.": [],
    "Clinical correlation for pneumonia.": [],
    "Recommend CT to exclude mass.": [],
    "If there is concern for pneumonia, repeat.": [],
    # words that hold a finding's name
    "There is no mass effect.": [],
    "Body mass index is high.": [],
    "Pericardial effusion.": ["pericardial effusion present"],
    "Subcutaneous emphysema.": ["subcutaneous emphysema present"],
    "The heart is obscured by a large effusion.": ["pleural effusion present"],
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_assertion(sentence):
    phrases = read_report(f"FINDINGS: {sentence}").phrases
    assert [f"{phrase.finding} {phrase.assertion.value}" for phrase in phrases] == SENTENCES[sentence]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_case_and_neighbours_change_nothing(sentence):
    text = f"FINDINGS: The trachea is midline. {sentence} The bones are intact.".upper()
    phrases = read_report(text).phrases
    assert [f"{phrase.finding} {phrase.assertion.value}" for phrase in phrases] == SENTENCES[sentence]
