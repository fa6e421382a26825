"""Antonyms: continue with the opposite of a word, in English, French or Chinese.

Lindsey et al. 2025, "On the Biology of a Large Language Model" (multilingual circuits): the same question in several
languages. The corrupt prompt asks for the opposite of a word of another pair. Each word stands in one pair and has
one usual opposite; both directions are asked.

The English and Chinese templates are those of several on which smollm2-135m is best, the others are the held-out
ones; in French it is near chance with all of them. The accuracies were measured as in
`tasks.capitals`, on the words by which the templates were chosen.
"""

from basisbench.shipped_tasks.facts import Fact, FactTask, Template

SOURCE = "Lindsey et al. 2025"


def _facts(text: str) -> tuple[Fact, ...]:
    """Read lines ``1 2: word opposite, word opposite``: first all questions for opposites, then all for words.

    The two numbers are the tokens of the words in SmolLM2's vocabulary, 3 for more too; a word's partner has as many,
    so that prompts are as long there. Nothing else hangs on them.
    """
    there, back = [], []
    for line in text.strip().splitlines():
        pieces, pairs = line.strip().split(": ")
        one, other = pieces.split()
        for word, opposite in (pair.split() for pair in pairs.split(", ")):
            there.append(Fact(word, opposite, one))
            back.append(Fact(opposite, word, other))
    return (*there, *back)


ENGLISH = FactTask(
    "antonyms/english",
    f"the opposite of an English word ({SOURCE}); smollm2-135m: restricted 0.90, pairs 1.00",
    _facts("""
        1 1: hot cold, small big, happy sad, fast slow, rich poor, strong weak, light dark, early late, high low
        1 1: good bad, hard soft, thick thin, wide narrow, deep shallow, clean dirty, wet dry, full empty, open closed
        1 1: left right, up down, inside outside, front back, top bottom, first last, before after, always never
        1 1: win lose, love hate, push pull, buy sell, north south, day night, black white, king queen, father mother
        1 1: son daughter, life death, war peace, success failure, true false, positive negative, loud quiet
        1 1: rough smooth, sweet sour, alive dead, maximum minimum, public private, increase decrease, import export
        1 1: past future
    """),
    _facts("""
        1 1: old young, tall short, safe dangerous, cheap expensive, simple complex, guilty innocent, husband wife
        1 1: internal external, above below, remember forget, accept reject, horizontal vertical, brother sister
        1 1: east west, summer winter, friend enemy, question answer, active passive
    """),
    (Template("few_shot", "The opposite of {word} is {answer}", ("hot", "win")),),
    (
        Template("antonym", "An antonym of {word} is {answer}"),
        Template("quoted", 'The opposite of "{word}" is "{answer}"'),
    ),
)
FRENCH = FactTask(
    "antonyms/french",
    f"the opposite of a French word, for models that know French ({SOURCE}); smollm2-135m does not: pairs 0.57",
    _facts("""
        1 1: long court
        1 2: grand petit, bas haut, fort faible, laid beau, jour nuit, lent rapide, vide plein, sale propre
        1 2: avant après, mort vie, dur mou, public privé, plus moins, non oui, tout rien
        1 3: bon mauvais, premier dernier
        2 2: noir blanc, facile difficile, gauche droite, dedans dehors, nord sud, guerre paix, homme femme, roi reine
        2 2: acheter vendre, monter descendre, matin soir, augmenter diminuer
        2 3: riche pauvre, faux vrai, triste heureux, ouvert fermé, sortie entrée, positif négatif, succès échec
        3 3: toujours jamais
    """),
    _facts("""
        1 3: large étroit, absent présent
        2 2: chaud froid, père mère, amour haine, actif passif
        2 3: jeune vieux, tard tôt, mince épais, ami ennemi, hiver été, pire mieux
        3 3: léger lourd, gagner perdre
    """),
    (Template("few_shot", "Le contraire du mot {word} est {answer}", ("jour", "riche", "monter")),),
    (
        Template("plain", "Le mot {word} veut dire le contraire de {answer}"),
        Template("quoted", 'Le contraire de "{word}" est "{answer}"', ("jour", "riche")),
    ),
)
CHINESE = FactTask(
    "antonyms/chinese",
    f"the opposite of a Chinese character, for models that know Chinese ({SOURCE}); smollm2-135m hardly: pairs 0.72",
    _facts("""
        1 1: 上 下, 前 后
        1 2: 大 小, 出 进, 生 死, 加 减
        2 2: 左 右, 多 少, 男 女, 开 关, 买 卖, 远 近, 强 弱, 轻 重, 内 外, 升 降, 贫 富
        2 3: 低 高, 快 慢, 冷 热, 早 晚, 浅 深, 明 暗, 东 西, 恶 善, 败 胜, 笑 哭
        3 3: 长 短, 黑 白, 胖 瘦, 真 假
    """),
    _facts("""
        1 2: 新 旧
        1 3: 对 错
        2 2: 好 坏, 南 北, 古 今, 公 私, 攻 守
        2 3: 软 硬, 细 粗, 宽 窄, 厚 薄, 干 湿, 恨 爱, 丑 美, 易 难
    """),
    (Template("few_shot", "{word}——{answer}", ("大", "黑", "买")),),
    (
        Template("plain", "{word}的反义词是{answer}"),
        Template("quoted", "“{word}”的反义词是“{answer}”", ("大", "黑")),
    ),
)
