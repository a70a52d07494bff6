"""Texts that have broken rerankers before."""

from __future__ import annotations

PLAIN = [
    "machine learning is the study of algorithms",
    "the capital of france is paris",
    "water boils at one hundred degrees",
    "a",
    "Again, and AGAIN: caf\u00e9 -- na\u00efve!",
    "\u4f60\u597d, \u043c\u0438\u0440, \u0633\u0644\u0627\u0645",
]
ODD = [
    "  leading and trailing space \n",
    "two  spaces\tand a tab",
    "...!?",
    "zebra \U0001f993 emoji \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u202eright to left\u202c \u0645\u0631\u062d\u0628\u0627",
    "null\x00byte and bell\x07",
    "combining e\u0301 and ligature \ufb01",
    "word" * 60,
]
LONG = "the quick brown fox learns machine learning in paris again and again, " * 40
