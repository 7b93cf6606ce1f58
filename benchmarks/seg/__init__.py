"""DICOM-SEG on trial: independent readers and validators, planted defects, kills while saving, speed and memory."""
