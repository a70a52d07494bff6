"""Real text to time, compare and calibrate models on.

Plain sentences on many subjects, some long, some with numbers, a few not in English.
"""

from __future__ import annotations

QUERIES = (
    "how do vaccines work",
    "What is the capital of Australia?",
    "best way to store fresh basil",
    "why does the moon always show the same face",
    "python read a file line by line",
    "symptoms of iron deficiency in adults",
    "Who wrote the first computer program?",
    "difference between a loan and a mortgage",
)

SENTENCES = (
    "A vaccine shows the immune system a harmless part of a pathogen, so that it remembers it.",
    "Canberra was chosen in 1908 as a compromise between Sydney and Melbourne.",
    "Basil keeps for a week in a glass of water at room temperature; the refrigerator blackens it.",
    "Tides have slowed the moon's spin until it turned once an orbit.",
    "Use open() in a with block and iterate over the file object; it yields one line at a time.",
    "Tiredness, pale skin and shortness of breath can be signs of too little iron.",
    "Ada Lovelace published an algorithm for the Analytical Engine in 1843.",
    "A mortgage is a loan secured on a property, which the lender may sell if payments stop.",
    "The boundary layer on a flat plate grows with the square root of the distance downstream.",
    "Interest rates were raised by 0.25 percentage points, the fourth rise this year.",
    "Bring the stock to a boil, lower the heat and simmer for twenty minutes.",
    "The river rises in the eastern hills and reaches the sea after 412 kilometres.",
    "An index on (user_id, created_at) turns the full scan into a short range read.",
    "She moved to Vienna in 1791 to study composition and stayed for eleven years.",
    "Photosynthesis stores the energy of light in sugar and releases oxygen.",
    "The plaintiff must show that the defendant owed a duty of care and breached it.",
    "Lithium iron phosphate cells tolerate more cycles but hold less energy per kilogram.",
    "In 2019 the league changed the offside rule for restarts from the goalkeeper.",
    "Aspirin blocks an enzyme that makes prostaglandins, and with them pain and fever.",
    "The committee recommends that the bridge be closed to heavy vehicles until repaired.",
    "Sourdough rises slowly because wild yeast is scarce, and tastes sour because of bacteria.",
    "The function returns None if the key is missing, and raises KeyError only when strict is set.",
    "Glaciers carve U-shaped valleys; rivers carve V-shaped ones.",
    "Passengers who miss a connection are rebooked on the next flight free of charge.",
    "The novel tells of three generations of a family that keeps a lighthouse.",
    "Normal blood pressure for adults is below 120 over 80 millimetres of mercury.",
    "To reset the router, hold the button for ten seconds until the light turns amber.",
    "Wolves were brought back to the park in 1995, and willows grew again along the streams.",
    "The tax is due on 31 January following the end of the year of assessment.",
    "Die Bibliothek ist montags geschlossen, an allen anderen Tagen bis 20 Uhr geöffnet.",
    "La receta lleva dos huevos, una taza de harina y una pizca de sal.",
    "Le musée conserve plus de quatre cents dessins du dix-septième siècle.",
)


def passages(count: int) -> list[str]:
    """Return that many different long texts: all sentences, each time begun with another.

    From the second time round, each text leaves out more sentences between two that it keeps.
    """
    texts = []
    for number in range(count):
        start, step = number % len(SENTENCES), 1 + 2 * (number // len(SENTENCES))
        order = [(start + step * i) % len(SENTENCES) for i in range(len(SENTENCES))]
        texts.append(" ".join(SENTENCES[i] for i in order))
    return texts


def batches(window: int) -> list[tuple[list[str], int]]:
    """Return batches of texts, each with the tokens to read of a text, of many lengths.

    The last four are of single sentences, the others of long texts.
    """
    texts = passages(2 * len(SENTENCES))
    lengths = [min(length, window) for length in (24, 48, 96, 192, 384)] * 4
    long = [(texts[4 * i % len(texts) :][:4], length) for i, length in enumerate(lengths)]
    return long + [(list(SENTENCES[i::4]), window) for i in range(4)]
