"""One training step of ODIS as published iBOT code would do it, timed: the peer of our bench.

Eager PyTorch, written plainly and fairly; no trick that the published code has is left out and none
that it lacks is put in. Weights and images are random: only the time matters.

    python3 step.py --model vit-s --steps 3        # alone: prints one JSON line
    python3 step.py --model vit-s --serve          # for a line "N" on stdin: N steps, one JSON line
    python3 step.py --model vit-s --device cuda --bfloat16 --compile --serve

On a device whose work is asynchronous a block of steps is timed as a whole.
"""

import argparse
import json
import os
import resource
import sys
import time

import torch
from model import Network
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))


class Loss:
    """Cross-entropy over pairs of views and hidden patches, with moving centres."""

    def __init__(self, prototypes, globals_, locals_, device):
        self.globals, self.views = globals_, globals_ + locals_
        self.object_center = torch.zeros(1, prototypes, device=device)
        self.patch_center = torch.zeros(1, 1, prototypes, device=device)

    def __call__(self, student, teacher, local_objects, hidden, temperature=0.04):
        s_obj = (torch.cat((student[0], local_objects)) / 0.1).chunk(self.views)
        s_patch = (student[1] / 0.1).chunk(self.globals)
        t_obj = F.softmax((teacher[0] - self.object_center) / temperature, dim=-1)
        t_obj = t_obj.detach().chunk(self.globals)
        t_patch = F.softmax((teacher[1] - self.patch_center) / temperature, dim=-1)
        t_patch = t_patch.detach().chunk(self.globals)
        of_view = hidden.chunk(self.globals)

        objects = patches = 0.0
        pairs = 0
        for q in range(self.globals):
            for v in range(self.views):
                if v == q:
                    entropy = torch.sum(-t_patch[q] * F.log_softmax(s_patch[v], dim=-1), dim=-1)
                    count = of_view[v].sum(dim=-1).clamp(min=1.0)
                    patches = patches + (torch.sum(entropy * of_view[v], dim=-1) / count).mean()
                else:
                    entropy = torch.sum(-t_obj[q] * F.log_softmax(s_obj[v], dim=-1), dim=-1)
                    objects = objects + entropy.mean()
                    pairs += 1
        self.update(teacher)
        return objects / pairs + patches / self.globals

    @torch.no_grad()
    def update(self, teacher):
        self.object_center = self.object_center * 0.9 + teacher[0].mean(0, keepdim=True) * 0.1
        patch = teacher[1].mean(1).mean(0, keepdim=True)
        self.patch_center = self.patch_center * 0.9 + patch * 0.1


def parameter_groups(network):
    decayed, exempt = [], []
    for name, weight in network.named_parameters():
        (exempt if name.endswith(".bias") or weight.ndim == 1 else decayed).append(weight)
    return [{"params": decayed}, {"params": exempt, "weight_decay": 0.0}]


def clip(network, limit):
    for weight in network.parameters():
        if weight.grad is None:
            continue
        norm = weight.grad.data.norm(2)
        scale = limit / (norm + 1e-6)
        if scale < 1:
            weight.grad.data.mul_(scale)


def synthetic_batch(recipe):
    """Normalised views, view-major; every other global view hides 30 % of its patches."""
    generator = torch.Generator().manual_seed(0)
    views, batch = recipe["views"], recipe["optim"]["batch"]
    side = views["globals"]["size"] // recipe["model"]["patch"]
    count = views["globals"]["count"] * batch

    def normal(n, size):
        return torch.randn(n, 3, size, size, generator=generator)

    visible = torch.zeros(count, side, side, dtype=torch.bool)
    visible[:, side // 4 : side - side // 4, side // 4 : side - side // 4] = True
    order = torch.rand(count, side * side, generator=generator).argsort(dim=1)
    hidden = order < round(0.3 * side * side)
    hidden[::2] = False
    return (
        normal(count, views["globals"]["size"]),
        normal(views["locals"]["count"] * batch, views["locals"]["size"]),
        visible.flatten(1),
        hidden,
    )


class Trainer:
    """`compiled` lets PyTorch's compiler have both networks; everything else is the same."""

    def __init__(self, recipe, device="cpu", bfloat16=False, compiled=False):
        torch.manual_seed(0)
        self.device = torch.device(device)
        self.bfloat16 = bfloat16
        student, teacher = Network(recipe), Network(recipe)
        teacher.load_state_dict(student.state_dict())
        teacher.requires_grad_(False)
        self.student, self.teacher = student.to(device), teacher.to(device)
        self.ask_student, self.ask_teacher = self.student, self.teacher
        if compiled:
            # Every block has a drop rate of its own, and the compiler a version for each.
            torch._dynamo.config.cache_size_limit = 64
            self.ask_student = torch.compile(self.student)
            self.ask_teacher = torch.compile(self.teacher)
        views = recipe["views"]
        self.loss = Loss(
            recipe["head"]["prototypes"], views["globals"]["count"], views["locals"]["count"], device
        )
        self.optimizer = torch.optim.AdamW(parameter_groups(self.student))
        self.batch = [part.to(device) for part in synthetic_batch(recipe)]

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def synchronize(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def step(self, lr=1e-5, weight_decay=0.04, momentum=0.996):
        for group, decay in zip(self.optimizer.param_groups, (weight_decay, 0.0)):
            group["lr"], group["weight_decay"] = lr, decay
        big, small, visible, hidden = self.batch
        with self.autocast():
            with torch.no_grad():
                teacher = [part.float() for part in self.ask_teacher(big, visible)]
            student = [part.float() for part in self.ask_student(big, visible, hidden)]
            local_objects = self.ask_student(small)[0].float() if len(small) else small.new_zeros(0)
        loss = self.loss(student, teacher, local_objects, hidden.float())
        if not torch.isfinite(loss):
            sys.exit(f"loss is {loss.item()}")
        self.optimizer.zero_grad()
        loss.backward()
        clip(self.student, 3.0)
        self.optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self.teacher.parameters(), self.student.parameters()):
                slow.mul_(momentum).add_((1 - momentum) * fast.detach())
        return loss.item()


def live_blas():
    """Files of BLAS libraries mapped into this process."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if line.count("/") > 1}
    return sorted(p for p in paths if any(w in os.path.basename(p) for w in ("blas", "blis", "mkl")))


def report(seconds, batch, loss):
    usage = resource.getrusage(resource.RUSAGE_SELF)
    device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {
        "seconds": seconds,
        "imagesPerSecond": batch / sorted(seconds)[len(seconds) // 2],
        "deviceMemory": device,
        "peakRss": usage.ru_maxrss * 1024,
        "minorFaults": usage.ru_minflt,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "blas": live_blas(),
        "loss": loss,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="vit-s", help="name of a file in ../workloads")
    parser.add_argument("--batch", type=int, help="images, instead of the workload's")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision")
    parser.add_argument("--compile", action="store_true", help="networks through torch.compile")
    parser.add_argument("--serve", action="store_true", help="take step counts from stdin")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    with open(os.path.join(HERE, "..", "workloads", f"{options.model}.json"), encoding="utf-8") as f:
        recipe = json.load(f)
    if options.batch:
        recipe["optim"]["batch"] = options.batch
    trainer = Trainer(recipe, options.device, options.bfloat16, options.compile)

    def timed(steps):
        seconds = []
        if options.device != "cpu":
            trainer.step()  # asks for the memory that the block before gave back
        trainer.synchronize()
        block = time.perf_counter()
        for _ in range(steps):
            began = time.perf_counter()
            loss = trainer.step()
            seconds.append(time.perf_counter() - began)
        trainer.synchronize()
        if options.device != "cpu":
            seconds = [(time.perf_counter() - block) / steps] * steps
            torch.cuda.empty_cache()  # for the other contestants
        print(json.dumps(report(seconds, recipe["optim"]["batch"], loss)), flush=True)

    if not options.serve:
        timed(options.steps)
    else:
        for line in sys.stdin:
            timed(int(line))


if __name__ == "__main__":
    main()
