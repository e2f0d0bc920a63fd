"""One backend, deployed as separate functions from one source tree.

    main.py -> edges -> wiring -> adapters -> core <- capabilities <- edges

The edges (manifest, chat, mcp, worker) are what is deployed; plugin is those that the world reaches, behind one entry point. wiring
chooses the adapters and is the only reader of the environment; adapters turn what is foreign into core's protocols; core is rules, and
opens nothing; a capability is a file that a developer adds. Edges also speak HTTP through adapters/http. tests/test_architecture.py holds
all of this.
"""
