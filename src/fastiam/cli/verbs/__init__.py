"""The verbs: `fastiam VERB` calls the `command` of the module of its name, imported when it is called."""
