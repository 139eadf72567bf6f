"""The processes of boards: TensorBoard and MindInsight."""
