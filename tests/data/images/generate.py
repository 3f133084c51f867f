#!/usr/bin/env python3
"""Makes the pictures of this folder and golden.safetensors, what Pillow and transformers' image processors make of them.

  FILE                  decoded by Pillow, convert("RGB") after exif_transpose: [height, width, 3] u8
  FILE/FILTER/WxH       resized by Pillow
  FILE/grey             convert("L"): [height, width] u8
  FILE/vit              pixel values of ViTImageProcessorPil, 16 x 16: [3, 16, 16] f32
  FILE/smolvlm          of SmolVLMImageProcessorPil, longest edge 48, tiles of 16: [N, 3, 16, 16] f32
  FILE/smolvlm-grid     its rows and columns: i64

  python3 tests/data/images/generate.py      needs Pillow 12 (13 orders the passes otherwise), torch, transformers 5, safetensors
"""
import pathlib

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

HERE = pathlib.Path(__file__).parent
FILTERS = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]


def picture(width, height, seed):
    """Smooth colours, hard edges and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = [127 + 120 * np.sin(x / (3 + c) + seed) * np.cos(y / (5 - c)) for c in range(3)]
    out = np.stack(planes, -1)
    out[height // 3:height // 2, width // 4:width // 2] = (255, 0, 40)
    out += rng.normal(0, 12, out.shape)
    return Image.fromarray(out.clip(0, 255).astype(np.uint8), "RGB")


def main():
    exif = Image.Exif()
    exif[0x112] = 6
    files = {
        "rgb.png": lambda p: picture(45, 30, 1).save(p),
        "grey.png": lambda p: picture(20, 33, 2).convert("L").save(p),
        "palette.png": lambda p: picture(31, 17, 3).quantize(16).save(p),
        "alpha.png": lambda p: picture(16, 16, 4).convert("RGBA").rotate(30).save(p),
        "bilevel.png": lambda p: picture(19, 9, 5).convert("1").save(p),
        "photo.jpg": lambda p: picture(41, 27, 6).save(p, quality=90),
        "progressive.jpg": lambda p: picture(24, 40, 7).save(p, quality=75, progressive=True),
        "grey.jpg": lambda p: picture(17, 23, 8).convert("L").save(p),
        "turned.jpg": lambda p: picture(30, 14, 9).save(p, exif=exif),
        "cmyk.jpg": lambda p: picture(8, 8, 10).convert("CMYK").save(p),
    }
    golden = {}
    vit = ViTImageProcessorPil(size={"height": 16, "width": 16})
    smolvlm = SmolVLMImageProcessorPil(size={"longest_edge": 48}, max_image_size={"longest_edge": 16},
                                       return_row_col_info=True)
    for name, write in files.items():
        write(HERE / name)
        if name == "cmyk.jpg":
            continue
        image = ImageOps.exif_transpose(Image.open(HERE / name)).convert("RGB")
        golden[name] = torch.tensor(np.array(image))
        golden[name + "/vit"] = torch.tensor(np.array(vit(image)["pixel_values"][0])).float()
        if name in ("rgb.png", "grey.png", "turned.jpg"):
            out = smolvlm([[image]])
            golden[name + "/smolvlm"] = torch.tensor(np.array(out["pixel_values"][0])).float()
            golden[name + "/smolvlm-grid"] = torch.tensor([out["rows"][0][0], out["cols"][0][0]])
    image = Image.open(HERE / "rgb.png")
    golden["rgb.png/grey"] = torch.tensor(np.array(image.convert("L")))
    for number, name in enumerate(FILTERS):
        for width, height in ((45, 11), (20, 30), (50, 40), (7, 50), (1, 1)):
            resized = image.resize((width, height), number)
            golden[f"rgb.png/{name}/{width}x{height}"] = torch.tensor(np.array(resized))
    save_file({k: v.contiguous() for k, v in golden.items()}, str(HERE / "golden.safetensors"))


if __name__ == "__main__":
    main()
