"""Plan: instructions, their text form, lowering, and the simulator."""
