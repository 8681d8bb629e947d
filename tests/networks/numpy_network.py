"""The network of the paper once more, in plain NumPy from the formulas alone: what the torch code is held against."""

import numpy as np

EPS = {"instance": 1e-3, "channel": 1e-4, "channel_rms": 1e-4, "none": None, "batch_per_pixel": 1e-4, "batch": 1e-4}
AXES = {"instance": (2, 3), "channel": 1, "batch_per_pixel": 0, "batch": (0, 2, 3)}


def conv(Y, K):
    """Every output pixel is the inner product of the stencil with the zero-padded neighbourhood."""
    size, (_, _, height, width) = K.shape[-1], Y.shape
    margin = size // 2
    padded = np.pad(Y, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    return sum(
        np.einsum("oc,nchw->nohw", K[:, :, i, j], padded[:, :, i : i + height, j : j + width])
        for i in range(size)
        for j in range(size)
    )


def conv_transpose(Z, K):
    """The adjoint: channels exchanged, stencil mirrored."""
    return conv(Z, K.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])


def norm(Y, name, scale, shift, eps=None):
    eps = EPS[name] if eps is None else eps
    if name == "channel_rms":
        Y = Y / np.sqrt((Y**2).sum(1, keepdims=True) + eps)
    elif name != "none":
        mean = Y.mean(AXES[name], keepdims=True)
        Y = (Y - mean) / np.sqrt(((Y - mean) ** 2).mean(AXES[name], keepdims=True) + eps)
    return Y * scale[None, :, None, None] + shift[None, :, None, None]


SIGMA = {"relu": lambda Y: np.maximum(Y, 0), "tanh": np.tanh}


class NumpyNetwork:
    """``weights``: the torch network's named weights as arrays; batch statistics always those of the batch."""

    def __init__(self, dynamic, config, weights):
        self.dynamic, self.config, self.w = dynamic, config, weights
        self.sigma = SIGMA[config.activation]

    def layer(self, Y, unit, part, j):
        w = {name: self.w[f"units.{unit}.theta.{part}.{name}"][j] for name in self.names}
        first, second = (w["kernel1"], w["kernel2"]) if self.dynamic == "resnet" else (w["kernel"], w["kernel"])
        normed = norm(conv(Y, first), self.config.norm, w["scale"], w["shift"], self.config.norm_eps)
        out = conv_transpose(self.sigma(normed), second)
        return out if self.dynamic == "resnet" else -out

    @property
    def names(self):
        kernels = ["kernel1", "kernel2"] if self.dynamic == "resnet" else ["kernel"]
        return [*kernels, "scale", "shift"]

    def unit(self, Y, unit):
        h, steps = self.config.step_size, range(self.config.steps)
        if self.dynamic in ("parabolic", "resnet"):
            for j in steps:
                Y = Y + h * self.layer(Y, unit, 0, j)
            return Y
        if self.dynamic == "second_order":
            previous = Y
            for j in steps:
                Y, previous = 2 * Y - previous + h**2 * self.layer(Y, unit, 0, j), Y
            return Y
        half = Y.shape[1] // 2
        Y, Z = Y[:, :half], Y[:, half:]
        for j in steps:
            Y = Y + h * self.layer(Z, unit, 0, j)
            Z = Z - h * self.layer(Y, unit, 1, j)
        return np.concatenate([Y, Z], 1)

    def connector(self, Y, name):
        normed = norm(
            conv(Y, self.w[f"{name}.kernel"]),
            self.config.connector_norm,
            self.w[f"{name}.norm.scale"],
            self.w[f"{name}.norm.shift"],
        )
        return self.sigma(normed)

    def scores(self, Y):
        Y = self.connector(Y, "opening")
        last = len(self.config.widths) - 1
        for i in range(last + 1):
            Y = self.connector(self.unit(Y, i), f"connectors.{i}")
            if i < last:
                n, c, height, width = Y.shape
                Y = Y.reshape(n, c, height // 2, 2, width // 2, 2).mean((3, 5))
        return Y.mean((2, 3)) @ self.w["classifier.weight"].T + self.w["classifier.bias"]

    def smoothness(self, kind, eps):
        h, total = self.config.step_size, 0.0
        for name, theta in self.w.items():
            if name.startswith("units."):
                rate = (theta[1:] - theta[:-1]) / h
                total += np.sqrt(rate**2 + eps).sum() if kind == "tv" else (rate**2).sum() / 2
        return total


def cross_entropy(scores, labels):
    shifted = scores - scores.max(1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return -log_probabilities[np.arange(len(labels)), labels].mean()
