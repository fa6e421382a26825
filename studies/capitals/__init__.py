"""The capitals study: neurons for "which state" and for "say a capital", and what turning them does.

    python -m studies.capitals --out results/capitals

Every claim is one of these measurements, each in a module of its own:

- `recordings`: the activations of all neurons at two places of every two-hop prompt, the city's last token and the
  prompt's last;
- `which_state`: how much of a neuron's variance over cities is between states, and how well few neurons tell the state;
- `say_a_capital`: which neurons, at the prompt's last token, raise names of capitals over names of states;
- `steering`: what multiplying and transplanting these sets does to the answer, with controls and side effects;
- `agreement`: what the neurons of the agreement circuits are.
"""
