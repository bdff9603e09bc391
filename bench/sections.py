"""The tables of the page of speed and memory, and what it says of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A table of the page: its title, and a paragraph on what was measured."""

    title: str
    text: str


TABLES = {
    "loss": {
        "pairwise": Section(
            "Loss: against the released formula",
            """\
Pairwise cross-entropy, from float32 embeddings to the loss and its gradient, dimensions 128. The
released formula builds a matrix for each pair of views, in float32. No system was released with the
flat geometry: there the same loop calls `torch.cdist`. "Differ by" compares loss and gradient, each
relative to its largest value. The released ball adds small constants to its denominators, so it
differs more.""",
        ),
        "supervised": Section(
            "Loss: against pytorch-metric-learning",
            """\
From embeddings to the gradient, dimensions 128. Proxy-Anchor computes the gradient of its proxies
too. The peer computes the cosine; a row of another geometry shows what that costs beside it. The
peer's NT-Xent lists all pairs of a positive and a negative, which takes more than 20 GB for a batch
of 900 with 9 views, so it is measured on a small batch only.""",
        ),
        "geometries": Section(
            "Loss: the geometries that are tuned",
            """\
Pairwise cross-entropy with its gradient, dimensions 128, in each geometry that `make tune` tunes,
over the first.""",
        ),
        "accuracy": Section(
            "Loss: largest relative error of a distance",
            """\
Distances d, taken back from float32 logits, against explicit differences in float64. Points lie
within the clip radius and on it. Some pairs are random, others are near.""",
        ),
        "growth": Section(
            "Loss: growth",
            """\
Pairwise cross-entropy with its gradient. The yardstick is one matrix product of the embeddings with
themselves, in float32. The released formula is not run above a batch of 900, nor where it needs
most of the free memory. After it has given back gigabytes, the next call may wait up to a second
for memory; with five rounds such waits can reach the median.""",
        ),
    },
    "negatives": {
        "rules": Section(
            "Rules for negatives: the loss",
            """\
From embeddings to the gradient, dimensions 128, each rule over uniform, on one thread, as a cell is
trained on the CPU. Rules have the settings of the systems with labels hidden.""",
        ),
        "steps": Section(
            "Rules for negatives: a training step",
            """\
A whole step of the default study on one thread: network, loss, gradients, clipping and AdamW, each
rule over uniform. Images are drawn beforehand. No limit was set for three rules that need clusters
or gradients: `cluster` compares samples with centroids, `doubly_contrastive` with prototypes, and
`mixed_importance` computes the gradient of the uniform loss first.""",
        ),
    },
    "search": {
        "gallery": Section(
            "Search: against the released formula",
            """\
The nearest others of each item, exactly and in a fixed order. The released formula computes a row
of distances at a time, in float32. Its time is taken on some of the rows and scaled by their
number; its memory is that of all rows. faiss is its flat index on the inner products that order as
the geometry does, in float32. It does not resolve near-ties, and it orders ties as they come.""",
        ),
        "geometries": Section(
            "Search: the geometries that are tuned",
            """\
The nearest others of each item, exactly and in a fixed order, in each geometry that `make tune`
tunes, over the first.""",
        ),
        "index": Section(
            "Search: the size of an index",
            """\
Bytes that an index keeps of an item, dimensions 128, in float32. Lifted is the vector whose inner
product orders as the geometry does. A sum of spaces has none: it keeps the embedding as it is
stored.""",
        ),
        "check": Section(
            "Search: lists against the definition",
            """\
Lists of a sample of queries against explicit differences in float64, compared place by place.""",
        ),
        "large": Section(
            "Search: a large gallery",
            """\
Whole processes, one search each: the seconds of the search, and the highest resident memory of the
process, Python and libraries included.""",
        ),
        "growth": Section(
            "Search: growth",
            """\
The yardstick is all inner products of the gallery with itself in float32, without a search for the
largest. The released formula is timed on some of the rows and scaled.""",
        ),
    },
    "metrics": {
        "metrics": Section(
            "Metrics: against pytorch-metric-learning",
            """\
From embeddings to R@1, R-precision, MAP@R and MRR. The peer gets normalised embeddings, and
searches by Euclidean distance. With lists of max R (`k="max_bin_count"`) it computes the same
numbers as we do. By default it ranks the whole gallery: its MRR is then that of the whole ranking,
and is not compared.""",
        ),
    },
    "images": {
        "batch": Section(
            "Images: augmented batches",
            """\
Random-resized crops, flips and normalisation of photographs, from the files as they came (encoded)
and from packed squares of 256 px (decoded), beside torchvision's transforms of loose files in a
DataLoader of two processes.""",
        ),
        "pack": Section(
            "Images: packing",
            """\
A fresh process for each form. Memory is the highest sum over the process and its workers.""",
        ),
    },
    "startup": {
        "startup": Section(
            "Start-up of a cell",
            """\
Whole processes, as medians and as the shortest of several. A cell is `python -m stages.train` until
its first step, imports included, on noise in the number and size of the letters of glyphs. DVC adds
its own to that: `dvc repro` of stages that do nothing, in a clone of this repository.""",
        ),
    },
    "train": {
        "training": Section(
            "Training: against the released way",
            """\
The same network with HypMix's loss on batches of the same shape. The released way opens loose files
with PIL in worker processes, changes each image there, and builds a similarity matrix for each pair
of views; on CUDA it is float16 with a scaled gradient. Both have one thread on the CPU, and the
workers come on top. Photographs are drawn; ours are packed as squares of 256 px. The time ratio is
of a step. FLOP utilisation is what the network computes, its backward pass counted as twice its
forward pass, over the dense bfloat16 peak of the GPU; on the CPU, and on a GPU whose peak is not
known here, over what a matrix product reaches. The network's share is the part of a step in its
forward and backward pass, the backward pass of the loss included. Memory is that of all processes
on the CPU, and of the allocator on a GPU.""",
        ),
        "phases": Section(
            "Training: the phases of a step",
            """\
Shares of the time of a step. Data is the wait for a batch, and what a loop does between two steps.
On a GPU the clock waits for it at the end of each phase.""",
        ),
    },
    "end_to_end": {
        "flow": Section(
            "The default flow",
            """\
`make repro` in a clone in which nothing was run. Seconds are those of all processes of a stage
together, and cells run side by side; start-up seconds, Python's own start and all imports, are part
of them. Memory is that of the largest process. `count` reads what cells print, and its seconds, in
the sum of all stages too, are those for which it waits.""",
        ),
    },
}
