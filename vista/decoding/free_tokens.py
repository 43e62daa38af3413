"""Which tokens of an answer are learned: with `loss_on: free` those that its grammar leaves open.

[ 104 , 250 , 396 , 541 ] </s>      learned: 104 250 396 541
"""

from dataclasses import replace

from vista.decoding.automaton import END, Automaton
from vista.tokens.batch import IGNORE, Sample


def learn_free_tokens(sample: Sample, automaton: Automaton) -> Sample:
    """The same sample, learned only where its grammar leaves a choice.

    A model trained so must be decoded under the grammar: it never learns a comma or a bracket.

    Args:
        sample: one whose answers the automaton accepts.
        automaton: the compiled grammar of an answer.

    Raises:
        ValueError: an answer is not legal.
    """
    labels, state = [], 0
    for label in sample.labels:
        if label == IGNORE:
            labels.append(IGNORE)
            continue
        labels.append(label if automaton.forced(state) is None else IGNORE)
        state = automaton.step(state, label)
        if state == END:
            state = 0  # the next turn's answer
    return replace(sample, labels=labels)
