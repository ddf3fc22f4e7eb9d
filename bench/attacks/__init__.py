"""The attack lab: a network with attackers in it, judged by the product's own code."""
