"""What any program with a window does and shows, without the window: the Slicer module and whatever comes after it.

``worker`` answers from a thread, ``live`` keeps a session and a worker together, ``desk`` is what mouse and buttons do
(``drag``: a click or a stroke). ``case`` ties that to a program, which implements three protocols: ``twin`` keeps its
segments and the session's alike, ``display`` tells what else is drawn, ``frame`` where the volume lies in its world;
``panel`` tells what a panel shows. Nothing here knows Qt, VTK or Slicer.
"""
