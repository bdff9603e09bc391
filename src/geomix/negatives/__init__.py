"""Rules for negatives: which ones count, and how much, in the terms of `pairwise_cross_entropy`.

One file for each, imported by its name alone. By the names of the literature: hard is HCL, bayesian
BCL, ambiguous SimANS, false_negative_elimination FNE, cluster ClusterNS, synthetic SSCL,
mixed_importance UnReMix, positive_unlabelled PUCL, ranking GraphRank, limited Ash et al.,
doubly_contrastive DCDC. docs/systems.md says what else a new rule needs.
"""
