"""CloudFormation, rendered: what a stage shares, and what each environment has.

Pure: the standard library alone. Begin with `environment`; `shared.yml` is the stage.
"""
