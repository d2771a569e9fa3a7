"""Many lines of dialogue at once: what is made, what is kept, and whether it can be delivered."""
