"""Image features by transformers: the peer of `bench embed`.

Photographs are decoded and prepared by transformers' own image processor while the engine works on those before; the
feature is the class token after the last norm, as `odis embed` keeps it. float32.

    echo 32 | python embed.py --model FOLDER --images FOLDER --threads 2

reads a number of images per line and answers with one line of JSON: seconds an image. FOLDER is what `odis export
--format hf` writes. Needs transformers, torch, torchvision and Pillow from PyPI (`npm run bench:venv`).
"""

import argparse
import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import transformers
from PIL import Image
from transformers import AutoModel, ViTImageProcessor

BATCH = 32
SIZE = 224


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    model = AutoModel.from_pretrained(args.model).eval()
    processor = ViTImageProcessor(
        size={"height": SIZE, "width": SIZE},
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    files = sorted(args.images.iterdir())

    def prepared(names):
        images = [Image.open(name).convert("RGB") for name in names]
        return processor(images, return_tensors="pt")["pixel_values"]

    # One thread prepares while the model works, as `odis embed` decodes ahead.
    with ThreadPoolExecutor(1) as ahead, torch.inference_mode():
        for line in sys.stdin:
            count = int(line)
            began, before = time.perf_counter(), time.process_time()
            chosen = [files[at % len(files)] for at in range(count)]
            batches = [chosen[at : at + BATCH] for at in range(0, count, BATCH)]
            waiting = ahead.submit(prepared, batches[0])
            features = []
            for at in range(len(batches)):
                pixels = waiting.result()
                if at + 1 < len(batches):
                    waiting = ahead.submit(prepared, batches[at + 1])
                features.append(model(pixel_values=pixels).last_hidden_state[:, 0])
            features = torch.cat(features)
            report = {
                "seconds": [(time.perf_counter() - began) / count],
                "cpu": (time.process_time() - before) / count,
                "peakRss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "versions": f"transformers {transformers.__version__}, torch {torch.__version__}",
                "feature": features[0].tolist(),
            }
            print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
