"""The data of a measurement and what is computed from it; nothing here touches a machine."""
