"""The life of an incident: grade, group, route, remind, resolve. Decisions only; nothing here sends or stores."""
