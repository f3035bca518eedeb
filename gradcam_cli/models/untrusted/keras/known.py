"""The layers, operations and functions of Keras that a network may have."""

from __future__ import annotations

from typing import Any, Final

WITH_WEIGHTS: Final = frozenset(
    [
        "Conv1D",
        "Conv1DTranspose",
        "Conv2D",
        "Conv2DTranspose",
        "Conv3D",
        "Conv3DTranspose",
        "DepthwiseConv1D",
        "DepthwiseConv2D",
        "SeparableConv1D",
        "SeparableConv2D",
        "Dense",
        "EinsumDense",
        "Embedding",
        "BatchNormalization",
        "GroupNormalization",
        "LayerNormalization",
        "RMSNormalization",
        "UnitNormalization",
        "PReLU",
        "LayerScale",
        "MultiHeadAttention",
        "GroupQueryAttention",
        "LSTM",
        "GRU",
        "SimpleRNN",
        "ConvLSTM1D",
        "ConvLSTM2D",
        "Bidirectional",
        "TimeDistributed",
    ]
)
SCALING: Final = frozenset({"Rescaling", "Normalization"})
WITHOUT_WEIGHTS: Final = frozenset(
    [
        "InputLayer",
        "Activation",
        "ELU",
        "LeakyReLU",
        "ReLU",
        "Softmax",
        "Identity",
        "Masking",
        "Flatten",
        "Reshape",
        "Permute",
        "RepeatVector",
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "AlphaDropout",
        "GaussianDropout",
        "GaussianNoise",
        "ActivityRegularization",
        "Add",
        "Average",
        "Concatenate",
        "Dot",
        "Maximum",
        "Minimum",
        "Multiply",
        "Subtract",
        "Attention",
        "AdditiveAttention",
        "AveragePooling1D",
        "AveragePooling2D",
        "AveragePooling3D",
        "MaxPooling1D",
        "MaxPooling2D",
        "MaxPooling3D",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalAveragePooling3D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "GlobalMaxPooling3D",
        "Cropping1D",
        "Cropping2D",
        "Cropping3D",
        "UpSampling1D",
        "UpSampling2D",
        "UpSampling3D",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "ZeroPadding3D",
        "Resizing",
        "CenterCrop",
    ]
)
NETWORKS: Final = {"Sequential": "keras", "Functional": "keras.src.models.functional"}
ELSEWHERE: Final = {**NETWORKS, "LayerScale": "keras.src.applications.convnext"}
"""Classes that are not in ``keras.layers`` → their module."""

OPERATIONS: Final = {
    **dict.fromkeys(
        [
            "Abs",
            "Absolute",
            "Add",
            "Clip",
            "Concatenate",
            "Divide",
            "Exp",
            "ExpandDims",
            "Flip",
            "GetItem",
            "Log",
            "Matmul",
            "Max",
            "Maximum",
            "Mean",
            "Minimum",
            "Moveaxis",
            "Multiply",
            "Negative",
            "Power",
            "Reshape",
            "Sqrt",
            "Square",
            "Squeeze",
            "Stack",
            "Subtract",
            "Sum",
            "Tanh",
            "Transpose",
            "TrueDivide",
        ],
        "keras.src.ops.numpy",
    ),
    **dict.fromkeys(
        [
            "Elu",
            "Gelu",
            "HardSigmoid",
            "HardSilu",
            "LeakyRelu",
            "LogSoftmax",
            "Relu",
            "Relu6",
            "Sigmoid",
            "Silu",
            "Softmax",
            "Softplus",
        ],
        "keras.src.ops.nn",
    ),
}
"""Classes of single operations within a network → their module."""

ACTIVATIONS: Final = frozenset(
    [
        "celu",
        "elu",
        "exponential",
        "gelu",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "log_softmax",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "softmax",
        "softplus",
        "softsign",
        "swish",
        "tanh",
    ]
)
AUGMENTATION: Final = frozenset(
    [
        "RandomBrightness",
        "RandomContrast",
        "RandomFlip",
        "RandomHeight",
        "RandomRotation",
        "RandomTranslation",
        "RandomWidth",
        "RandomZoom",
        "RandomColorDegeneration",
        "RandomColorJitter",
        "RandomErasing",
        "RandomGaussianBlur",
        "RandomGrayscale",
        "RandomHue",
        "RandomInvert",
        "RandomPerspective",
        "RandomPosterization",
        "RandomSaturation",
        "RandomSharpness",
        "RandomShear",
        "AugMix",
        "CutMix",
        "MixUp",
        "RandAugment",
    ]
)
"""Layers that pass pictures on as they are, except in training."""

LEFT_OUT: Final = ("_initializer", "_regularizer", "_constraint")
NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "batch_input_shape": (), "batch_shape": (), "dtype": (), "seed": (), "trainable": (),
    "renorm_momentum": (), "renorm_clipping": (), "fused": (), "virtual_batch_size": (None,), "renorm": (False,),
    "adjustment": (None,), "implementation": (), "time_major": (False,), "unroll": (), "stateful": (False,),
    "groups": (1,), "sparse": (False, None), "ragged": (False, None), "optional": (False, None), "lora_rank": (None,),
    "kernel_quantizer": (None,), "synchronized": (), "data_format": (None,), "query_shape": (), "key_shape": (),
    "value_shape": (),
}  # fmt: skip
"""Keys without which a layer is the same, with the values for which this holds; none listed: any value."""

OTHER_IN_KERAS_2: Final = frozenset({"hard_sigmoid"})
"""Functions that were computed in another way by Keras 2."""

ALIASES: Final = {"softmax_v2": "softmax", "swish": "silu", "hard_swish": "hard_silu"}
"""Names of functions in older files → their names today."""
