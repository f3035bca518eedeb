"""The bundled network on real photographs, through the program's own preprocessing."""

from __future__ import annotations

from gradcam_cli.media.image.read import read_picture
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings


def test_photographs_of_its_classes(shared_data):
    session = Session(ModelSettings(model="tiny"))
    right, paths = 0, sorted((shared_data / "photos" / "cifar_classes").glob("*/*.jpg"))
    assert len(paths) == 33
    for path in paths:
        result = session.explain_batch([session.prepare(read_picture(path, path.name).pixels)])[0]
        right += result.targets[0].label == path.parent.name
        assert min(result.maps[0].values.shape) >= 8
    assert right / len(paths) >= 0.70, f"{right} of {len(paths)}; the model card says 24"
