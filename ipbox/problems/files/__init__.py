"""A user's own files: images and volumes, DICOM series, k-space, and the folders of public data sets.

Each reader returns all that was asked for, or raises an error of one sentence; none loads pickled objects.
``image``, ``dicom``, ``fastmri``, ``ismrmrd`` and ``folders`` hold the public functions, which `ipbox` lists too.
"""
