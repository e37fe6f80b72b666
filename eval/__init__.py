"""How well: cases, what an answer must hold, speed, retrieval; the command career-eval."""
