"""Learning without forgetting: on the new speech, a fine-tuned model also keeps the outputs of the initial
model. Where the initial model labels every window, this is distillation: the preset `live`.

"Learning without forgetting" (Li and Hoiem 2016): no old data are needed, the initial model gives the labels.
"""

from collections.abc import Iterable

import torch

from bilabial.hub.expression_bilabial import MAX_INTENSITY
from bilabial.hub.modeling_bilabial import BilabialModel

NEUTRAL_SHARE = 0.5  # share of these windows that are neutral; others have an emotion of the initial model


def retained_styles(initial: BilabialModel, in_data: Iterable[str], share: float) -> set[str]:
    """Styles in which the initial model labels windows: those that the data do not retrain, or all of them
    where it labels every window.
    """
    return set(initial.config.styles) - (set(in_data) if share < 1 else set())


class LearningWithoutForgetting:
    """Replaces the labels of a share of a batch's windows with the output of the initial model.

    Each such window has one of the `styles` that are kept, and is neutral or has an emotion that the initial
    model was trained on.
    """

    def __init__(
        self, initial: BilabialModel, styles: Iterable[str], share: float, device: torch.device | str
    ):
        self.initial, self.share = initial.to(device).eval().requires_grad_(False), share
        config = initial.config
        self.styles = sorted(config.styles.index(name) for name in styles)
        self.emotions = [config.emotions.index(name) for name in config.trained_emotions]
        self.emotions = [index for index in self.emotions if index > 0]  # 0 is neutral

    @torch.no_grad()
    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The batch (see TrainingWindows) with other styles, emotions and labels in those windows."""
        size, device = len(batch["style"]), batch["style"].device
        replaced = (torch.rand(size) < self.share).nonzero()[:, 0].to(device)
        if not len(replaced) or not self.styles:
            return batch
        style = torch.tensor(self.styles)[torch.randint(len(self.styles), replaced.shape)].to(device)
        emotion = self._emotions(len(replaced), batch["emotion"].shape[1]).to(device)
        sound, inside = batch["input_values"][replaced], batch["attention_mask"][replaced]
        labels = self.initial(sound, inside, emotion, style).coefficients.to(batch["labels"].dtype)
        answers = {"style": style, "emotion": emotion, "labels": labels}
        answers |= {name: torch.ones_like(batch[name][replaced]) for name in ("label_mask", "channel_mask")}
        return batch | {name: batch[name].index_copy(0, replaced, value) for name, value in answers.items()}

    def _emotions(self, count: int, size: int) -> torch.Tensor:
        """Emotion weights (count, size): neutral, or one emotion at a random intensity."""
        weights = torch.zeros(count, size)
        if self.emotions:
            emotional = torch.rand(count) >= NEUTRAL_SHARE
            drawn = torch.tensor(self.emotions)[torch.randint(len(self.emotions), (count,))]
            weights[torch.arange(count), drawn] = emotional * torch.rand(count) * MAX_INTENSITY
        return weights
