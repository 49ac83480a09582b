"""The data pipeline of the published code (DINO, iBOT) on Pillow and torchvision: the peer of `bench loader`.

Views, operations and chances are those of our recipes' defaults; one process, one thread. Like ours it ends in planar
bytes: normalising is the engine's. It knows nothing of objects, which spares it the masks and the redrawing of crops.

    echo 24 | python loader.py --serve --images FOLDER

reads a number of images per line and answers with one line of JSON: seconds of CPU time an image. Needs torchvision and
Pillow from PyPI (`npm run bench:venv`).
"""

import argparse
import json
import random
import resource
import sys
import time
from pathlib import Path

import PIL
import torch
import torchvision
from PIL import Image, ImageFilter, ImageOps
from torchvision import transforms
from torchvision.transforms import InterpolationMode


class Blur:
    def __init__(self, p, radius=(0.1, 2.0)):
        self.p, self.radius = p, radius

    def __call__(self, image):
        if random.random() >= self.p:
            return image
        return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(*self.radius)))


class Solarize:
    def __init__(self, p):
        self.p = p

    def __call__(self, image):
        return ImageOps.solarize(image) if random.random() < self.p else image


def chain(size, scale, blur, solarize):
    jitter = transforms.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=scale, interpolation=InterpolationMode.BICUBIC),
            transforms.RandomHorizontalFlip(p=0.5),
            transforms.RandomApply([jitter], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            Blur(blur),
            Solarize(solarize),
            transforms.PILToTensor(),
        ]
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true", required=True)
    parser.add_argument("--images", type=Path, required=True)
    args = parser.parse_args()

    torch.set_num_threads(1)
    random.seed(0)
    torch.manual_seed(0)
    views = [
        chain(224, (0.25, 1), 1.0, 0.0),
        chain(224, (0.25, 1), 0.1, 0.2),
        *[chain(96, (0.05, 0.25), 0.5, 0.0)] * 10,
    ]
    files = sorted(args.images.iterdir())
    at = 0
    for line in sys.stdin:
        began = time.process_time()
        for _ in range(int(line)):
            with Image.open(files[at % len(files)]) as file:
                image = file.convert("RGB")
            made = [view(image) for view in views]
            assert len(made) == 12
            at += 1
        report = {
            "seconds": [(time.process_time() - began) / int(line)],
            "peakRss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "versions": f"Pillow {PIL.__version__}, torchvision {torchvision.__version__}",
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
