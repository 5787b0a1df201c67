"""Faults on purpose, in real workers and a real Redis: what becomes of the waves?"""
