"""Speech encoders: a configuration class and a module for each kind, and their register.

A new kind is one file with a subclass of
:class:`espnet_otreg.slm.encoders.base.EncoderConfig` and one entry in
:data:`espnet_otreg.slm.encoders.registry.ENCODERS`; whatever depends on the kind (what is read,
what is saved, what is packed) asks the configuration class.
"""
