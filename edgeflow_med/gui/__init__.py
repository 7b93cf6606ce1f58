"""What any program with a window does and shows, without the window: the Slicer module and whatever comes after it.

``worker`` answers from a thread, ``live`` keeps a session and a worker together, ``desk`` is what mouse and buttons do,
``display`` what is drawn. Nothing here knows Qt, VTK or Slicer.
"""
