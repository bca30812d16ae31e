"""DICOM files made on the spot: a smooth synthetic picture under a header that a test can change."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid
from synthetic_picture import picture


@pytest.fixture
def make_dicom(tmp_path):
    def make(pixels=None, *, bits=12, name="study.dcm", syntax=None, **elements) -> Path:
        pixels = picture(bits) if pixels is None else pixels
        header = Dataset()
        header.SOPClassUID = ComputedRadiographyImageStorage
        header.SOPInstanceUID, header.StudyInstanceUID, header.SeriesInstanceUID = (generate_uid() for _ in range(3))
        header.PatientName, header.PatientID, header.Modality = "Secret^Name", "SECRET-ID", "CR"
        header.PatientBirthDate = header.PatientSex = header.StudyDate = header.StudyTime = ""
        header.AccessionNumber = header.StudyID = header.ReferringPhysicianName = header.Manufacturer = ""
        header.SeriesNumber = header.InstanceNumber = 1
        header.Rows, header.Columns = pixels.shape[:2]
        header.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
        header.PhotometricInterpretation = "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit = 8 * pixels.itemsize, bits, bits - 1
        header.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
        header.PixelData = pixels.tobytes()
        for keyword, value in elements.items():
            if value is None:
                delattr(header, keyword)
            else:
                setattr(header, keyword, value)
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if syntax is not None:
            header.compress(syntax, header.pixel_array, generate_instance_uid=False)
        path = tmp_path / name
        header.save_as(path, enforce_file_format=True)
        return path

    return make


@pytest.fixture
def lut():
    def make(keyword, first, table, bits):
        item = Dataset()
        item.add_new(0x00283002, "US" if first >= 0 else "SS", [len(table), first, bits])
        item.add_new(0x00283006, "US", [int(v) for v in table])
        if keyword == "ModalityLUTSequence":
            item.ModalityLUTType = "US"
        return {keyword: [item]}

    return make
