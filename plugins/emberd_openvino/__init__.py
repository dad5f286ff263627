"""The BERT-family models of the store over OpenVINO, in bfloat16.

`plugin.py` is the entry point; `embedder.py` what the daemon asks, which is an engine of emberd's
own (its tokeniser, planner and callers) over another runtime: `backend.py` runs a model, `graph.py`
writes it in OpenVINO's operators, `library.py` compiles it, `processor.py` knows which CPUs compute
in bfloat16.
"""
