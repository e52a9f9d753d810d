"""What is known of the coding agents that people use, by the kind of their program."""

from conductor.integrations.coding_agents.profiles import Profile, Profiles, known

__all__ = ["Profile", "Profiles", "known"]
