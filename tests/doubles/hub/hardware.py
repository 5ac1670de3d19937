"""The flavors of Jobs and their prices, as the Hub lists them (snapshot of August 2026)."""

from __future__ import annotations

from typing import Any

# name, shown name, vCPU, main memory, accelerator model, how many, memory of all of them, USD per hour
_FLAVORS: tuple[tuple[str, str, int, int, str, int, int, float], ...] = (
    ("cpu-basic", "CPU Basic", 2, 16, "", 0, 0, 0.01),
    ("cpu-upgrade", "CPU Upgrade", 8, 32, "", 0, 0, 0.03),
    ("cpu-xl", "CPU XL", 16, 124, "", 0, 0, 1.00),
    ("cpu-performance", "CPU Performance", 32, 256, "", 0, 0, 1.90),
    ("t4-small", "Nvidia T4 - small", 4, 15, "T4", 1, 16, 0.40),
    ("t4-medium", "Nvidia T4 - medium", 8, 30, "T4", 1, 16, 0.60),
    ("l4x1", "1x Nvidia L4", 8, 30, "L4", 1, 24, 0.80),
    ("l4x4", "4x Nvidia L4", 48, 186, "L4", 4, 96, 3.80),
    ("l40sx1", "1x Nvidia L40S", 8, 62, "L40S", 1, 48, 1.80),
    ("l40sx4", "4x Nvidia L40S", 48, 382, "L40S", 4, 192, 8.30),
    ("l40sx8", "8x Nvidia L40S", 192, 1534, "L40S", 8, 384, 23.50),
    ("a10g-small", "Nvidia A10G - small", 4, 15, "A10G", 1, 24, 1.00),
    ("a10g-large", "Nvidia A10G - large", 12, 46, "A10G", 1, 24, 1.50),
    ("a10g-largex2", "2x Nvidia A10G - large", 24, 92, "A10G", 2, 48, 3.00),
    ("a10g-largex4", "4x Nvidia A10G - large", 48, 184, "A10G", 4, 96, 5.00),
    ("a100-large", "Nvidia A100 - large", 12, 142, "A100", 1, 80, 2.50),
    ("a100x4", "4x Nvidia A100", 48, 568, "A100", 4, 320, 10.00),
    ("a100x8", "8x Nvidia A100", 96, 1136, "A100", 8, 640, 20.00),
    ("h200", "Nvidia H200", 23, 256, "H200", 1, 141, 5.00),
    ("h200x2", "2x Nvidia H200", 46, 512, "H200", 2, 282, 10.00),
    ("h200x4", "4x Nvidia H200", 92, 1024, "H200", 4, 564, 20.00),
    ("h200x8", "8x Nvidia H200", 184, 2048, "H200", 8, 1128, 40.00),
    ("rtx-pro-6000", "Nvidia RTX PRO 6000", 22, 192, "RTX PRO 6000", 1, 96, 2.75),
    ("rtx-pro-6000x2", "2x Nvidia RTX PRO 6000", 44, 384, "RTX PRO 6000", 2, 192, 5.50),
    ("rtx-pro-6000x4", "4x Nvidia RTX PRO 6000", 88, 768, "RTX PRO 6000", 4, 384, 11.00),
    ("rtx-pro-6000x8", "8x Nvidia RTX PRO 6000", 176, 1536, "RTX PRO 6000", 8, 768, 22.00),
)


def hardware() -> list[dict[str, Any]]:
    """Return the answer of /api/jobs/hardware."""
    return [_described(*flavor) for flavor in _FLAVORS]


def _described(
    name: str, pretty: str, cpus: int, ram: int, model: str, count: int, memory: int, hourly: float
) -> dict[str, Any]:
    accelerator = {
        "type": "gpu",
        "model": model,
        "quantity": str(count),
        "vram": f"{memory} GB",
        "manufacturer": "Nvidia",
    }
    return {
        "name": name,
        "prettyName": pretty,
        "cpu": f"{cpus} vCPU",
        "ram": f"{ram} GB",
        "ephemeralStorage": "50 GB",
        "accelerator": accelerator if model else None,
        "unitCostMicroUSD": round(hourly * 1e6 / 60),
        "unitCostUSD": round(hourly / 60, 6),
        "unitLabel": "minute",
    }
