"""Saving and loading of modules with weights, in the format of sentence-transformers."""

from __future__ import annotations

from typing import Any

from sentence_transformers.base.modules import Module

__all__ = ["WeightedModule"]


class WeightedModule(Module):
    """A module that is rebuilt from ``config.json`` and filled from ``model.safetensors``."""

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **_: Any) -> None:
        """Write configuration and weights into a folder."""
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **options: Any) -> Any:
        """Build the module from a folder, or a subfolder of a model; its weights are as stored.

        That is in the precision of the transformer before it, which sentence-transformers brings
        only modules outside of a `Router` to.
        """
        hub = {
            name: options[name]
            for name in ("token", "cache_folder", "revision", "local_files_only")
            if name in options
        }
        module = cls(**cls.load_config(model_name_or_path, subfolder=subfolder, **hub))
        weights = cls.load_torch_weights(model_name_or_path, subfolder=subfolder, **hub)
        module.load_state_dict(weights, assign=True)
        return module
