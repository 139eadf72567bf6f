"""The folder from which MindInsight's Python takes its ``sitecustomize``."""
