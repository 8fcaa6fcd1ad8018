"""Checks: what is asked of an endpoint, and what its answer says. Not when, nor how often.

Law: a monitor holds an address, so no check ever asks DNS; and a failure of this machine (no
file descriptors, no route) is no answer of the endpoint's.
"""
